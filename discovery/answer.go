package discovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"etcd/store"
)

// maxAnswer is in bytes. As many members as a cluster can have, with the longest names, need less.
const maxAnswer = 1 << 20

// Error codes of the v2 API.
const (
	codeNotFound = 100
	codeExists   = 105
	codeRaft     = 300 // and above: the service's own cluster is in trouble
	codeCleared  = 400 // and above: of watches
)

var (
	errNotFound = errors.New("there is no such key")
	errExists   = errors.New("the key exists")
	errLong     = errors.New("its answer is longer than " + strconv.Itoa(maxAnswer) + " bytes; is this the URL of a discovery service?")
)

// node is a key or a directory in an answer of the v2 API.
type node struct {
	Key          string `json:"key"`
	Value        string `json:"value"`
	Dir          bool   `json:"dir"`
	Nodes        []node `json:"nodes"`
	CreatedIndex uint64 `json:"createdIndex"`
}

// parseAnswer returns the node in an answer, or why there is none.
func parseAnswer(status int, body []byte) (*node, error) {
	var answer struct {
		Node      *node  `json:"node"`
		ErrorCode int    `json:"errorCode"`
		Message   string `json:"message"`
	}
	err := json.Unmarshal(body, &answer)
	switch code := answer.ErrorCode; {
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, code >= codeRaft && code < codeCleared:
		return nil, transient{fmt.Errorf("it answers with status %d: %s", status, quote(string(body)))}
	case (status == http.StatusOK || status == http.StatusCreated) && err == nil && answer.Node != nil:
		return answer.Node, nil
	case err == nil && code == codeNotFound:
		return nil, errNotFound
	case err == nil && code == codeExists:
		return nil, errExists
	case err == nil && code != 0:
		return nil, fmt.Errorf("it refuses this with error %d: %s", code, quote(answer.Message))
	}
	return nil, fmt.Errorf("it answers with status %d and %s, as no discovery service does; is this the URL of a token?", status, quote(string(body)))
}

// parseSize returns how many members the cluster of a token has. For more than a cluster can have,
// everybody would wait for ever.
func parseSize(value string) (int, error) {
	size, err := strconv.Atoi(value)
	if err != nil || size < 1 || size > store.MaxMembers {
		return 0, fmt.Errorf("_config/size of the token is %s, and must be a number from 1 to %d: make a new token", quote(value), store.MaxMembers)
	}
	return size, nil
}

// registrations returns who has registered in the directory of a token, the first one first.
func registrations(token *node) []registration {
	var all []registration
	for _, n := range token.Nodes {
		if id := path.Base(n.Key); !strings.HasPrefix(id, "_") { // _config is no machine
			all = append(all, registration{id: id, value: n.Value, created: n.CreatedIndex})
		}
	}
	slices.SortFunc(all, byCreation)
	return all
}
