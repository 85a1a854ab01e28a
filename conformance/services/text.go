package main

import (
	"encoding/base64"
	"fmt"
	"regexp"
)

var bytesField = regexp.MustCompile(`"(key|name|value)": *"([A-Za-z0-9+/=]*)"`)

// decoded shows the keys, names and values of a reply as text; a member's name is text already and
// stays what it is on both sides.
func decoded(text string) string {
	return bytesField.ReplaceAllStringFunc(text, func(field string) string {
		parts := bytesField.FindStringSubmatch(field)
		raw, err := base64.StdEncoding.DecodeString(parts[2])
		if err != nil {
			return field
		}
		return fmt.Sprintf("%q: %q", parts[1], raw)
	})
}
