-- What the statements of cmfd ask of SQLite, for PostgreSQL: in the schema of each index, and run as
-- one script. Numbers among texts: see cmfd/store/postgres/values.py.

CREATE FUNCTION is_number(text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT left($1, 2) = E'\x01#' $$;
CREATE FUNCTION number_of(text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END $$;
CREATE FUNCTION typeof(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NULL THEN 'null' WHEN left($1, 2) <> E'\x01#' THEN 'text'
        WHEN substr($1, 27) ~ '^-?[0-9]+$' THEN 'integer' ELSE 'real' END $$;
CREATE FUNCTION typeof(numeric) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NULL THEN 'null' WHEN scale($1) = 0 THEN 'integer' ELSE 'real' END $$;
CREATE FUNCTION typeof(double precision) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NULL THEN 'null' ELSE 'real' END $$;

CREATE FUNCTION as_text(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27) ELSE $1 END $$;
CREATE FUNCTION as_text(bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1::text $$;
CREATE FUNCTION as_integer(numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 IS NOT NULL
        THEN trunc(greatest(least($1, 9223372036854775807), -9223372036854775808))::bigint END $$;
CREATE FUNCTION as_integer(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1 $$;
CREATE FUNCTION as_real(bigint) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1::double precision $$;
CREATE FUNCTION as_real(numeric) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1::double precision $$;
CREATE FUNCTION as_integer(double precision) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 >= 9223372036854775807 THEN 9223372036854775807
        WHEN $1 <= -9223372036854775808 THEN -9223372036854775808 ELSE trunc($1)::bigint END $$;
CREATE FUNCTION as_integer(text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT as_integer(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric
        WHEN $1 IS NOT NULL
        THEN coalesce(substring($1 from '^\s*([+-]?[0-9]{1,40})')::numeric, 0) END) $$;
CREATE FUNCTION as_real(text) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::double precision
        WHEN $1 IS NOT NULL
        THEN coalesce(substring($1 from '^\s*([+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?)')::double precision, 0)
        END $$;

CREATE FUNCTION value_lt(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END < $2 $$;
CREATE FUNCTION value_le(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END <= $2 $$;
CREATE FUNCTION value_eq(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END = $2, $1 IS NULL AND NULL) $$;
CREATE FUNCTION value_ne(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END <> $2, $1 IS NOT NULL OR NULL) $$;
CREATE FUNCTION value_gt(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END > $2, $1 IS NOT NULL OR NULL) $$;
CREATE FUNCTION value_ge(text, numeric) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(CASE WHEN left($1, 2) = E'\x01#' THEN substr($1, 27)::numeric END >= $2, $1 IS NOT NULL OR NULL) $$;
CREATE OPERATOR < (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_lt);
CREATE OPERATOR <= (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_le);
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_eq);
CREATE OPERATOR <> (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_ne);
CREATE OPERATOR > (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_gt);
CREATE OPERATOR >= (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_ge);
CREATE FUNCTION itself(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT $1 $$;
CREATE OPERATOR + (RIGHTARG = text, FUNCTION = itself);

CREATE FUNCTION times(boolean, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 THEN $2 WHEN NOT $1 THEN 0 END $$;
CREATE OPERATOR * (LEFTARG = boolean, RIGHTARG = bigint, FUNCTION = times);

CREATE FUNCTION max(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 >= $2 THEN $1 WHEN $1 < $2 THEN $2 END $$;
CREATE FUNCTION min(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 <= $2 THEN $1 WHEN $1 > $2 THEN $2 END $$;
CREATE FUNCTION max(double precision, double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 >= $2 THEN $1 WHEN $1 < $2 THEN $2 END $$;
CREATE FUNCTION min(double precision, double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 <= $2 THEN $1 WHEN $1 > $2 THEN $2 END $$;
CREATE AGGREGATE max(boolean) (SFUNC = boolor_statefunc, STYPE = boolean);
CREATE AGGREGATE min(boolean) (SFUNC = booland_statefunc, STYPE = boolean);

CREATE FUNCTION total_step(double precision, boolean) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN $2 THEN $1 + 1 ELSE $1 END $$;
CREATE AGGREGATE total(double precision) (SFUNC = float8pl, STYPE = double precision, INITCOND = '0');
CREATE AGGREGATE total(boolean) (SFUNC = total_step, STYPE = double precision, INITCOND = '0');

CREATE FUNCTION iif(boolean, anycompatible, anycompatible) RETURNS anycompatible
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN $1 THEN $2 ELSE $3 END $$;
CREATE FUNCTION hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT upper(encode(coalesce($1, ''), 'hex')) $$;
CREATE FUNCTION zeroblob(integer) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT decode(repeat('00', $1), 'hex') $$;
CREATE FUNCTION id_of(text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN $1 ~ '^([0-9a-fA-F]{2})*$' THEN decode($1, 'hex') END $$;
CREATE FUNCTION instr(text, text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT strpos($1, $2) $$;
CREATE FUNCTION unicode(text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT nullif(ascii($1), 0) $$;
CREATE FUNCTION strftime(text, bigint, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT to_char(to_timestamp($2) AT TIME ZONE 'UTC', CASE $1
        WHEN '%Y-%m-%dT%H:%M:%SZ' THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
        WHEN '%Y-%m-%d' THEN 'YYYY-MM-DD' WHEN '%Y-%m' THEN 'YYYY-MM' END) $$;
CREATE FUNCTION json_array(text, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT json_build_array($1, $2)::text $$;
CREATE FUNCTION json_valid(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    PERFORM $1::json;
    RETURN true;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;
CREATE FUNCTION json_extract(text, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN json_typeof($1::json) = 'object' THEN $1::json ->> substr($2, 3) END $$;

CREATE FUNCTION integer_each(text) RETURNS TABLE (key bigint, value bigint) ROWS 100
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT j.n - 1, j.v::bigint FROM json_array_elements_text($1::json) WITH ORDINALITY AS j (v, n) $$;
CREATE FUNCTION text_each(text) RETURNS TABLE (key bigint, value text) ROWS 100
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT j.n - 1, j.v FROM json_array_elements_text($1::json) WITH ORDINALITY AS j (v, n) $$;

-- Whether two lists of members are slices of one data set that have rows in common.
CREATE FUNCTION slices_overlap(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
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
CREATE FUNCTION add(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 BETWEEN -4611686018427387904 AND 4611686018427387903
            AND $2 BETWEEN -4611686018427387904 AND 4611686018427387903
        THEN $1 OPERATOR(pg_catalog.+) $2
        ELSE as_integer($1::numeric OPERATOR(pg_catalog.+) $2::numeric) END $$;
CREATE FUNCTION subtract(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 BETWEEN -4611686018427387904 AND 4611686018427387903
            AND $2 BETWEEN -4611686018427387904 AND 4611686018427387903
        THEN $1 OPERATOR(pg_catalog.-) $2
        ELSE as_integer($1::numeric OPERATOR(pg_catalog.-) $2::numeric) END $$;
CREATE FUNCTION multiply(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 BETWEEN -2147483648 AND 2147483647 AND $2 BETWEEN -2147483648 AND 2147483647
        THEN $1 OPERATOR(pg_catalog.*) $2
        ELSE as_integer($1::numeric OPERATOR(pg_catalog.*) $2::numeric) END $$;
CREATE FUNCTION multiply(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT multiply($1, $2::bigint) $$;
CREATE OPERATOR + (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = add);
CREATE OPERATOR - (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = subtract);
CREATE OPERATOR * (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = multiply);
CREATE OPERATOR * (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = multiply);

CREATE FUNCTION lesser(bytea, bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    AS $$ SELECT CASE WHEN $1 <= $2 THEN $1 ELSE $2 END $$;
CREATE AGGREGATE min(bytea) (SFUNC = lesser, STYPE = bytea);

-- Sums of integers are numerics.
CREATE FUNCTION shifted(numeric, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT as_integer($1) >> $2 $$;
CREATE FUNCTION masked(numeric, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT as_integer($1) & $2::bigint $$;
CREATE OPERATOR >> (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = shifted);
CREATE OPERATOR & (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = masked);
CREATE FUNCTION masked(bigint, integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT $1 & $2::bigint $$;
CREATE OPERATOR & (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = masked);
