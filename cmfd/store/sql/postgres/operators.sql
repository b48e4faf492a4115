-- What the functions of functions.sql stand for. An operator that is there already stays as it is:
-- tables and views may need it; what it does is in its function.

CREATE OPERATOR < (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_lt);
CREATE OPERATOR <= (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_le);
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_eq);
CREATE OPERATOR <> (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_ne);
CREATE OPERATOR > (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_gt);
CREATE OPERATOR >= (LEFTARG = text, RIGHTARG = numeric, FUNCTION = value_ge);
CREATE OPERATOR + (RIGHTARG = text, FUNCTION = itself);
CREATE OPERATOR * (LEFTARG = boolean, RIGHTARG = bigint, FUNCTION = times);
CREATE OPERATOR + (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = add);
CREATE OPERATOR - (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = subtract);
CREATE OPERATOR * (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = multiply);
CREATE OPERATOR * (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = multiply);
CREATE OPERATOR >> (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = shifted);
CREATE OPERATOR & (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = masked);
CREATE OPERATOR & (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = masked);
