package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// object is a JSON object with the order of its fields kept.
type object []member

type member struct {
	name  string
	value any // object, []any, string, json.Number, bool or nil
}

// get returns the value of a field, nil if it is absent.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// parseJSON parses exactly one JSON value and nothing after it.
func parseJSON(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	value, err := parseValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the JSON value in %q", text)
	}
	return value, nil
}

func parseValue(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := object{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			value, err := parseValue(dec)
			if err != nil {
				return nil, err
			}
			o = append(o, member{name.(string), value})
		}
		_, err := dec.Token()
		return o, err
	case json.Delim('['):
		a := []any{}
		for dec.More() {
			value, err := parseValue(dec)
			if err != nil {
				return nil, err
			}
			a = append(a, value)
		}
		_, err := dec.Token()
		return a, err
	}
	return token, nil
}

// mapFields returns a copy of a JSON value with every named field of its
// objects replaced by f of it.
func mapFields(value any, name string, f func(any) any) any {
	switch v := value.(type) {
	case object:
		out := slices.Clone(v)
		for i, m := range out {
			if m.name == name {
				out[i].value = f(m.value)
			} else {
				out[i].value = mapFields(m.value, name, f)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = mapFields(e, name, f)
		}
		return out
	}
	return value
}

// compareJSON returns what differs between two JSON values, field order
// included. Fields named in lenient are compared by the function given there,
// which returns what is wrong.
func compareJSON(want, got any, path string, lenient map[string]func(want, got any) string) string {
	switch w := want.(type) {
	case object:
		g, ok := got.(object)
		if !ok {
			return fmt.Sprintf("%s is not an object", path)
		}
		if wn, gn := fieldNames(w), fieldNames(g); !slices.Equal(wn, gn) {
			return fmt.Sprintf("%s has the fields %v, want %v", path, gn, wn)
		}
		for i, m := range w {
			at := path + "." + m.name
			if f := lenient[m.name]; f != nil {
				if diff := f(m.value, g[i].value); diff != "" {
					return at + " " + diff
				}
				continue
			}
			if diff := compareJSON(m.value, g[i].value, at, lenient); diff != "" {
				return diff
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok {
			return fmt.Sprintf("%s is not an array", path)
		}
		if len(w) != len(g) {
			return fmt.Sprintf("%s has %d elements, want %d", path, len(g), len(w))
		}
		for i := range w {
			if diff := compareJSON(w[i], g[i], fmt.Sprintf("%s[%d]", path, i), lenient); diff != "" {
				return diff
			}
		}
		return ""
	}
	if want != got {
		return fmt.Sprintf("%s is %v, want %v", path, got, want)
	}
	return ""
}

func fieldNames(o object) []string {
	names := make([]string, len(o))
	for i, m := range o {
		names[i] = m.name
	}
	return names
}
