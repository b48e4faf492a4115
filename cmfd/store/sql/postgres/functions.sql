-- What the statements of cmfd ask of SQLite, for PostgreSQL: in the schema of each index, and run as
-- one script whenever it is not the one that the index was made by. A function may do something else
-- from then on, but not return another type. Numbers among texts: see cmfd/store/postgres/values.py.

-- Unlike for unlike texts, and short: what keys have in place of texts. It never does anything else:
-- that would be other keys. No text of an index has the two characters before the digest.
CREATE OR REPLACE FUNCTION shortened(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT left($1, 100) || E'\x01$' || encode(sha256(convert_to($1, 'UTF8')), 'hex') $$;
CREATE OR REPLACE FUNCTION key_of(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN octet_length($1) <= 600 THEN $1 ELSE shortened($1) END $$;

CREATE OR REPLACE FUNCTION is_number(text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT left($1, 2) = E'\x01#' $$;
CREATE OR REPLACE FUNCTION number_of(text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END $$;
CREATE OR REPLACE FUNCTION typeof(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NULL THEN 'null' WHEN left($1, 2) <> E'\x01#' THEN 'text'
        WHEN substr($1, 27) ~ '^-?[0-9]+$' THEN 'integer' ELSE 'real' END $$;
CREATE OR REPLACE FUNCTION typeof(numeric) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NULL THEN 'null' WHEN scale($1) = 0 THEN 'integer' ELSE 'real' END $$;
CREATE OR REPLACE FUNCTION typeof(double precision) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NULL THEN 'null' ELSE 'real' END $$;

CREATE OR REPLACE FUNCTION as_text(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27) ELSE $1 END $$;
CREATE OR REPLACE FUNCTION as_text(bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1::text $$;
CREATE OR REPLACE FUNCTION as_integer(numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NOT NULL
        THEN trunc(greatest(least($1, 9223372036854775807), -9223372036854775808))::bigint END $$;
CREATE OR REPLACE FUNCTION as_integer(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1 $$;
CREATE OR REPLACE FUNCTION as_real(bigint) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1::double precision $$;
CREATE OR REPLACE FUNCTION as_real(numeric) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1::double precision $$;
CREATE OR REPLACE FUNCTION as_integer(double precision) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 >= 9223372036854775807 THEN 9223372036854775807
        WHEN $1 <= -9223372036854775808 THEN -9223372036854775808 ELSE trunc($1)::bigint END $$;
CREATE OR REPLACE FUNCTION as_integer(text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT as_integer(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric
        WHEN $1 IS NOT NULL
        THEN coalesce(substring($1 from '^\s*([+-]?[0-9]{1,40})')::numeric, 0) END) $$;
CREATE OR REPLACE FUNCTION as_real(text) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::double precision
        WHEN $1 IS NOT NULL
        THEN coalesce(substring($1 from '^\s*([+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)')::double precision, 0)
        END $$;

CREATE OR REPLACE FUNCTION value_lt(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END < $2 $$;
CREATE OR REPLACE FUNCTION value_le(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END <= $2 $$;
CREATE OR REPLACE FUNCTION value_eq(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END = $2, $1 IS NULL AND NULL) $$;
CREATE OR REPLACE FUNCTION value_ne(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END <> $2, $1 IS NOT NULL OR NULL) $$;
CREATE OR REPLACE FUNCTION value_gt(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END > $2, $1 IS NOT NULL OR NULL) $$;
CREATE OR REPLACE FUNCTION value_ge(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END >= $2, $1 IS NOT NULL OR NULL) $$;
CREATE OR REPLACE FUNCTION itself(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT $1 $$;

CREATE OR REPLACE FUNCTION times(boolean, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 THEN $2 WHEN NOT $1 THEN 0 END $$;

CREATE OR REPLACE FUNCTION max(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 >= $2 THEN $1 WHEN $1 < $2 THEN $2 END $$;
CREATE OR REPLACE FUNCTION min(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 <= $2 THEN $1 WHEN $1 > $2 THEN $2 END $$;
CREATE OR REPLACE FUNCTION max(double precision, double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 >= $2 THEN $1 WHEN $1 < $2 THEN $2 END $$;
CREATE OR REPLACE FUNCTION min(double precision, double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 <= $2 THEN $1 WHEN $1 > $2 THEN $2 END $$;
CREATE OR REPLACE AGGREGATE max(boolean) (SFUNC = boolor_statefunc, STYPE = boolean);
CREATE OR REPLACE AGGREGATE min(boolean) (SFUNC = booland_statefunc, STYPE = boolean);

CREATE OR REPLACE FUNCTION total_step(double precision, boolean) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN $2 THEN $1 + 1 ELSE $1 END $$;
CREATE OR REPLACE AGGREGATE total(double precision) (SFUNC = float8pl, STYPE = double precision, INITCOND = '0');
CREATE OR REPLACE AGGREGATE total(boolean) (SFUNC = total_step, STYPE = double precision, INITCOND = '0');

CREATE OR REPLACE FUNCTION iif(boolean, anycompatible, anycompatible) RETURNS anycompatible
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN $1 THEN $2 ELSE $3 END $$;
CREATE OR REPLACE FUNCTION hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT upper(encode(coalesce($1, ''), 'hex')) $$;
CREATE OR REPLACE FUNCTION zeroblob(integer) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT decode(repeat('00', $1), 'hex') $$;
CREATE OR REPLACE FUNCTION id_of(text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 ~ '^([0-9a-fA-F]{2})*$' THEN decode($1, 'hex') END $$;
CREATE OR REPLACE FUNCTION instr(text, text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT strpos($1, $2) $$;
CREATE OR REPLACE FUNCTION unicode(text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT nullif(ascii($1), 0) $$;
CREATE OR REPLACE FUNCTION strftime(text, bigint, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT to_char(to_timestamp($2) AT TIME ZONE 'UTC', CASE $1
        WHEN '%Y-%m-%dT%H:%M:%SZ' THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
        WHEN '%Y-%m-%d' THEN 'YYYY-MM-DD' WHEN '%Y-%m' THEN 'YYYY-MM' END) $$;
CREATE OR REPLACE FUNCTION json_array(text, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT json_build_array($1, $2)::text $$;
CREATE OR REPLACE FUNCTION json_valid(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    PERFORM $1::json;
    RETURN true;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;
CREATE OR REPLACE FUNCTION json_extract(text, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN json_typeof($1::json) = 'object' THEN $1::json ->> substr($2, 3) END $$;

CREATE OR REPLACE FUNCTION integer_each(text) RETURNS TABLE (key bigint, value bigint) ROWS 100
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT j.n - 1, j.v::bigint FROM json_array_elements_text($1::json) WITH ORDINALITY AS j (v, n) $$;
CREATE OR REPLACE FUNCTION text_each(text) RETURNS TABLE (key bigint, value text) ROWS 100
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT j.n - 1, j.v FROM json_array_elements_text($1::json) WITH ORDINALITY AS j (v, n) $$;

-- Whether two lists of members are slices of one data set that have rows in common.
CREATE OR REPLACE FUNCTION slices_overlap(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN (SELECT $1::jsonb -> 'of' = $2::jsonb -> 'of' AND EXISTS (
        SELECT 1
        FROM jsonb_array_elements($1::jsonb -> 'rows') AS a (v)
        CROSS JOIN jsonb_array_elements($2::jsonb -> 'rows') AS b (v)
        WHERE jsonb_typeof(a.v) = 'array' AND jsonb_typeof(b.v) = 'array'
            AND (a.v ->> 0)::numeric < (b.v ->> 1)::numeric
            AND (b.v ->> 0)::numeric < (a.v ->> 1)::numeric));
EXCEPTION WHEN data_exception THEN
    RETURN false;  -- anybody may write such lists
END $$;

-- Integers that would be too large are as large as there are: SQLite makes them floats, and one odd
-- pack must not make a question fail. These stand before PostgreSQL's own (see the search path).
CREATE OR REPLACE FUNCTION add(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 BETWEEN -4611686018427387904 AND 4611686018427387903
            AND $2 BETWEEN -4611686018427387904 AND 4611686018427387903
        THEN $1 OPERATOR(pg_catalog.+) $2
        ELSE as_integer($1::numeric OPERATOR(pg_catalog.+) $2::numeric) END $$;
CREATE OR REPLACE FUNCTION subtract(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 BETWEEN -4611686018427387904 AND 4611686018427387903
            AND $2 BETWEEN -4611686018427387904 AND 4611686018427387903
        THEN $1 OPERATOR(pg_catalog.-) $2
        ELSE as_integer($1::numeric OPERATOR(pg_catalog.-) $2::numeric) END $$;
CREATE OR REPLACE FUNCTION multiply(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 BETWEEN -2147483648 AND 2147483647 AND $2 BETWEEN -2147483648 AND 2147483647
        THEN $1 OPERATOR(pg_catalog.*) $2
        ELSE as_integer($1::numeric OPERATOR(pg_catalog.*) $2::numeric) END $$;
CREATE OR REPLACE FUNCTION multiply(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT multiply($1, $2::bigint) $$;

CREATE OR REPLACE FUNCTION lesser(bytea, bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    AS $$ SELECT CASE WHEN $1 <= $2 THEN $1 ELSE $2 END $$;
CREATE OR REPLACE AGGREGATE min(bytea) (SFUNC = lesser, STYPE = bytea);

-- Sums of integers are numerics.
CREATE OR REPLACE FUNCTION shifted(numeric, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT as_integer($1) >> $2 $$;
CREATE OR REPLACE FUNCTION masked(numeric, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT as_integer($1) & $2::bigint $$;
CREATE OR REPLACE FUNCTION masked(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1 & $2::bigint $$;
