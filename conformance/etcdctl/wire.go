package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// wireText shows a protobuf message field by field without knowing its type, so that ids and
// numbers in it can be masked as in any other output. What is no message stays as it is.
func wireText(raw string) string {
	if text, ok := wireFields([]byte(raw), "", 0); ok && raw != "" {
		return text
	}
	return raw
}

const wireDepth = 8

func wireFields(raw []byte, indent string, depth int) (string, bool) {
	var text strings.Builder
	// The header is the only message whose first two fields are ids of 8 bytes; its fourth is the
	// raft term.
	ids := 0
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 || number > 100 {
			return "", false
		}
		raw = raw[n:]
		switch kind {
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(raw)
			if n < 0 {
				return "", false
			}
			raw = raw[n:]
			if number <= 2 && value > 1<<32 {
				ids++
			}
			if number == 4 && ids == 2 && value > 0 {
				fmt.Fprintf(&text, "%s4: TERM\n", indent)
				continue
			}
			fmt.Fprintf(&text, "%s%d: %d\n", indent, number, value)
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(raw)
			if n < 0 {
				return "", false
			}
			raw = raw[n:]
			text.WriteString(wireBytes(number, value, indent, depth))
		default:
			return "", false
		}
	}
	return text.String(), true
}

func wireBytes(number protowire.Number, value []byte, indent string, depth int) string {
	if !printable(value) && depth < wireDepth {
		if inner, ok := wireFields(value, indent+"  ", depth+1); ok {
			return fmt.Sprintf("%s%d:\n%s", indent, number, inner)
		}
	}
	return fmt.Sprintf("%s%d: %q\n", indent, number, value)
}

func printable(value []byte) bool {
	for _, char := range string(value) {
		if char == utf8.RuneError || !unicode.IsPrint(char) {
			return false
		}
	}
	return true
}
