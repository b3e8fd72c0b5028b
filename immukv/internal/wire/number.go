package wire

import (
	"bytes"
	"math"
	"strconv"
)

// maxIntegerDigits is the longest integer that is written. Python's json rejects longer
// ones, because the interpreter limits their conversion
// (sys.int_info.default_max_str_digits).
const maxIntegerDigits = 4300

// plainIntegerDigits is the longest integer that every double represents exactly: 10¹⁵ is
// less than 2⁵³.
const plainIntegerDigits = 15

// appendNumber appends the canonical form of a JSON number. The problem is empty
// unless the dialect has no form for the number or, when writing, would change
// an integer.
func (d Dialect) appendNumber(dst, token []byte, writing bool) (_ []byte, problem string) {
	integer := !bytes.ContainsAny(token, ".eE")
	if integer {
		digits := len(bytes.TrimPrefix(token, []byte("-")))
		if writing && digits > maxIntegerDigits {
			return dst, "integer of more than 4300 digits"
		}
		if d == Python || digits <= plainIntegerDigits {
			if string(token) == "-0" { // 0 for both Python's int and JavaScript's printer
				token = token[1:]
			}
			return append(dst, token...), ""
		}
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return dst, "number beyond the range of a double"
	}
	if d == Python {
		return appendPythonFloat(dst, f), ""
	}
	start := len(dst)
	dst = appendECMAScriptNumber(dst, f)
	if integer && writing && !carriesInteger(f, token) {
		return dst[:start], "integer that the typescript dialect cannot represent exactly"
	}
	return dst, ""
}

// appendPythonFloat appends a float as Python's repr writes it: its shortest digits, in
// exponent form if the decimal exponent is below -4 or at least 16. Go's exponent form is
// Python's: signed, with at least two digits.
func appendPythonFloat(dst []byte, f float64) []byte {
	if abs := math.Abs(f); abs != 0 && abs < 1e-4 || abs >= 1e16 {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if bytes.IndexByte(dst[start:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}

// appendECMAScriptNumber appends a number as Number::toString (ECMA-262, 6.1.6.1.20), and
// so JSON.stringify, writes it.
func appendECMAScriptNumber(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs == 0 {
		return append(dst, '0') // also of -0
	}
	if abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-2] == '0' && !isDigit(dst[n-3]) { // e-07 is e-7
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// carriesInteger reports whether f is exactly the integer of the token, and its shortest
// digits are, too. Then every reader of the canonical text, as a double or as a decimal,
// reads that integer. 10²³ fails the first test, 2⁶⁴ the second.
func carriesInteger(f float64, token []byte) bool {
	var buf [512]byte
	return bytes.Equal(strconv.AppendFloat(buf[:0], f, 'f', 0, 64), token) &&
		bytes.Equal(strconv.AppendFloat(buf[:0], f, 'f', -1, 64), token)
}
