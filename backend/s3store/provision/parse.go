package provision

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDescription is the largest size of a description, in bytes.
const maxDescription = 1 << 20

// Parse reads a description from YAML, which includes JSON. It is strict: an unknown
// member is an error that lists the known ones. The error names all problems of the
// description at once, and wraps [ErrInvalid].
func Parse(text []byte) (*Description, error) {
	if len(text) > maxDescription {
		return nil, fmt.Errorf("%w: the description is longer than %d bytes", ErrInvalid, maxDescription)
	}
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the description is empty", ErrInvalid)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is more than one document", ErrInvalid)
	}
	if err := known(root.Content[0], reflect.TypeFor[Description](), ""); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	d := &Description{}
	if err := root.Decode(d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	return d, nil
}

// known checks that all members of a document are fields of the type into which it is
// decoded. The decoder's own check does not list the known ones.
func known(node *yaml.Node, t reflect.Type, at string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if node.Kind == yaml.AliasNode || node.Anchor != "" {
		return fmt.Errorf("line %d: anchors and aliases are not supported", node.Line)
	}
	switch {
	case node.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, item := range node.Content {
			if err := known(item, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && node.Kind != yaml.MappingNode:
		if node.Tag == "!!null" && at != "" && !strings.HasSuffix(at, "]") {
			return nil
		}
		return fmt.Errorf("line %d: %s is not an object", node.Line, orRoot(at))
	case t.Kind() == reflect.Struct:
		for i := 0; i+1 < len(node.Content); i += 2 {
			name, value := node.Content[i], node.Content[i+1]
			field, names := member(t, name.Value)
			if field == nil {
				return fmt.Errorf("line %d: %s has the unknown member %q; known: %s", name.Line, orRoot(at), name.Value, strings.Join(names, ", "))
			}
			if err := known(value, field, strings.TrimPrefix(at+"."+name.Value, ".")); err != nil {
				return err
			}
		}
	}
	return nil
}

func orRoot(at string) string {
	if at == "" {
		return "the description"
	}
	return at
}

// member returns the type of the field of that name, and the names of all fields.
func member(t reflect.Type, name string) (found reflect.Type, names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("yaml")
		names = append(names, tag)
		if tag == name {
			found = f.Type
		}
	}
	return found, names
}
