package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the size of a file of settings.
const maxFile = 1 << 20

// section is a mapping within a file: which setting each of its keys is.
type section map[string]string

// sections are those of etcd 3. What they hold has flags of other names.
var sections = map[string]section{
	"client-transport-security": {
		"cert-file": "cert-file", "key-file": "key-file", "client-cert-file": "client-cert-file", "client-key-file": "client-key-file",
		"client-cert-auth": "client-cert-auth", "trusted-ca-file": "trusted-ca-file", "crl-file": "client-crl-file", "client-crl-file": "client-crl-file",
		"auto-tls": "auto-tls", "allowed-hostname": "client-cert-allowed-hostname", "client-cert-allowed-hostname": "client-cert-allowed-hostname",
	},
	"peer-transport-security": {
		"cert-file": "peer-cert-file", "key-file": "peer-key-file", "client-cert-file": "peer-client-cert-file", "client-key-file": "peer-client-key-file",
		"client-cert-auth": "peer-client-cert-auth", "trusted-ca-file": "peer-trusted-ca-file", "crl-file": "peer-crl-file",
		"auto-tls": "peer-auto-tls", "allowed-cn": "peer-cert-allowed-cn", "allowed-hostname": "peer-cert-allowed-hostname",
		"skip-client-san-verification": "peer-skip-client-san-verification",
	},
	"socket-options": {"reuse-port": "socket-reuse-port", "reuse-address": "socket-reuse-address"},
	"discovery-config": {
		"token": "discovery-token", "endpoints": "discovery-endpoints", "dial-timeout": "discovery-dial-timeout", "request-timeout": "discovery-request-timeout",
		"keepalive-time": "discovery-keepalive-time", "keepalive-timeout": "discovery-keepalive-timeout",
	},
}

// readFile reads settings from a file.
func (c *config) readFile(path string) error {
	data, err := readBounded(path)
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		return fmt.Errorf("--config-file %s: %w; it is to have the settings of this machine, see docs/flags.md", path, err)
	}
	if err := c.parseFile(data); err != nil {
		return errUsage{fmt.Errorf("--config-file %s: %w", path, err)}
	}
	return nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("at most %d bytes are read, and it has more", maxFile)
	}
	return data, err
}

// parseFile sets what a file says, in YAML, of which JSON is a part.
func (c *config) parseFile(data []byte) error {
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF): // nothing but comments
		return nil
	case err != nil:
		return errors.New(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("it has a second document (---): want all settings in one")
	}
	settings := make(map[string]*setting)
	for _, s := range c.settings {
		for _, name := range slices.Concat(s.spellings(), s.ours) {
			settings[name] = s
		}
	}
	err := eachKey(doc.Content[0], "", func(key string, value *yaml.Node) error {
		names, isSection := sections[key]
		if !isSection {
			return c.setFromFile(settings[key], key, value)
		}
		return eachKey(value, key+": ", func(inner string, value *yaml.Node) error {
			return c.setFromFile(settings[names[inner]], key+": "+inner, value)
		})
	})
	if err != nil {
		return err
	}
	return c.checkTwice()
}

// eachKey calls do for every key of a mapping. An empty one has none.
func eachKey(mapping *yaml.Node, where string, do func(key string, value *yaml.Node) error) error {
	switch {
	case isNull(mapping):
		return nil
	case mapping.Kind != yaml.MappingNode:
		return fmt.Errorf("line %d: %swant names of settings with their values, NAME: VALUE", mapping.Line, where)
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		if seen[key.Value] {
			return fmt.Errorf("line %d: %s%s is there twice", key.Line, where, key.Value)
		}
		seen[key.Value] = true
		if err := do(key.Value, mapping.Content[i+1]); err != nil {
			return fmt.Errorf("line %d: %w", key.Line, err)
		}
	}
	return nil
}

// setFromFile sets a setting, nil if there is none of this name. One without a value is as if it was
// not there.
func (c *config) setFromFile(s *setting, key string, value *yaml.Node) error {
	if s == nil || s.key() == "config-file" || s.key() == "version" {
		if near := c.nearest(key); near != "" {
			return fmt.Errorf("there is no setting %s; is it %s?", key, strings.TrimLeft(near, "-"))
		}
		return fmt.Errorf("there is no setting %s", key)
	}
	if isNull(value) {
		return nil
	}
	text, err := scalar(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if text == "" {
		return nil
	}
	if _, err := strconv.ParseInt(text, 10, 64); err == nil && value.Tag == "!!int" && isDuration(s) {
		text += "ns" // as etcd 3 writes a time
	}
	return c.set(s, key, text)
}

// scalar returns a value as a flag has it. A list is comma separated there.
func scalar(value *yaml.Node) (string, error) {
	switch value.Kind {
	case yaml.ScalarNode:
		return value.Value, nil
	case yaml.SequenceNode:
		var parts []string
		for _, part := range value.Content {
			if part.Kind != yaml.ScalarNode {
				return "", errors.New("want a list of words")
			}
			parts = append(parts, part.Value)
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("want one value, or a list of words")
}

func isNull(value *yaml.Node) bool {
	return value.Kind == yaml.ScalarNode && value.Tag == "!!null"
}
