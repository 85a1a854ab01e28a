package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
)

// What no file can set: Go values.
var goOnly = map[string]bool{"grpc-additional-server-options": true}

var tableKey = regexp.MustCompile("(?m)^\\| `--[^|]*\\|[^|]*\\|[^|]*\\| `([a-z0-9.-]+)` \\|")

var keyAlone = regexp.MustCompile("(?m)^\\| `([a-z0-9-]+[.][a-z0-9.-]+)` \\|")

func checkKeys(b binaries) (wrong []string, err error) {
	page, err := os.ReadFile(b.docs)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, rows := range []*regexp.Regexp{tableKey, keyAlone} {
		for _, match := range rows.FindAllStringSubmatch(string(page), -1) {
			ours[match[1]] = true
		}
	}
	theirs, err := keys()
	if err != nil {
		return nil, err
	}
	if len(theirs) < 100 {
		return nil, fmt.Errorf("etcd has %d keys: not read", len(theirs))
	}
	for _, key := range theirs {
		if !ours[key] && !goOnly[key] {
			wrong = append(wrong, "no key "+key)
		}
	}
	for key := range ours {
		if ofMeridian[key] {
			continue
		}
		known, err := isKey(key)
		if err != nil {
			return nil, err
		}
		if !known {
			wrong = append(wrong, "etcd has no key "+key)
		}
	}
	sort.Strings(wrong)
	return wrong, nil
}

// keys gives the keys that etcd's types name, those that its package keeps to itself included.
func keys() ([]string, error) {
	found := tagged("", reflect.TypeOf(embed.Config{}))
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "go.etcd.io/etcd/server/v3/embed").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(dir)), "config.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, err
	}
	private := map[string][]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if body, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range body.Fields.List {
				if field.Tag != nil {
					tag := reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
					private[spec.Name.Name] = append(private[spec.Name.Name], name(tag))
				}
			}
		}
		return true
	})
	for _, key := range private["configJSON"] {
		if !strings.HasSuffix(key, "-transport-security") {
			found = append(found, key)
			continue
		}
		for _, inner := range private["securityConfig"] {
			if key != "client-transport-security" || inner != "skip-client-san-verification" {
				found = append(found, key+"."+inner)
			}
		}
	}
	return found, nil
}

// tagged gives the keys of a type, those of its sections with their paths.
func tagged(section string, of reflect.Type) (found []string) {
	for i := range of.NumField() {
		field := of.Field(i)
		key := name(field.Tag)
		switch {
		case key == "" || key == "-":
		case field.Type.Kind() == reflect.Struct:
			found = append(found, tagged(section+key+".", field.Type)...)
		case field.Type.Kind() == reflect.Pointer && field.Type.Elem().Kind() == reflect.Struct:
			found = append(found, tagged(section+key+".", field.Type.Elem())...)
		default:
			found = append(found, section+key)
		}
	}
	return found
}

func name(tag reflect.StructTag) string {
	key, _, _ := strings.Cut(tag.Get("json"), ",")
	return key
}

// isKey asks etcd to read a value that fits no key: it fails at those that it knows.
func isKey(key string) (bool, error) {
	dir, err := os.MkdirTemp("", "flags-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	text := ""
	parts := strings.Split(key, ".")
	for depth, part := range parts {
		text += strings.Repeat("  ", depth) + part + ":\n"
	}
	text += strings.Repeat("  ", len(parts)) + "- {no: [value]}\n"
	path := filepath.Join(dir, "c.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return false, err
	}
	_, err = embed.ConfigFromFile(path)
	return err != nil && strings.Contains(err.Error(), "unmarshal"), nil
}
