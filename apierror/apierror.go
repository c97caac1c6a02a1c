package apierror

import "net/http"

// Error is an error in the JSON shape of v1 and v2.
type Error struct {
	Code    int    `json:"errorCode"`
	Message string `json:"message"`
	Cause   string `json:"cause,omitempty"`
}

// The codes of the v1 API, and of v2 where v1 has none.
const (
	KeyNotFound    = 100
	TestFailed     = 101
	NotFile        = 102
	MaxMachines    = 103
	Unauthorized   = 110
	ValueRequired  = 200
	TTLNaN         = 202
	IndexNaN       = 203
	InvalidField   = 209
	InvalidForm    = 210
	RaftInternal   = 300
	LeaderElect    = 301
	Keyword        = 400
	IndexCleared   = 401
	WatcherCleared = 500
)

var messages = map[int]string{
	KeyNotFound:    "Key Not Found",
	TestFailed:     "The given PrevValue is not equal to the value of the key",
	NotFile:        "Not A File",
	MaxMachines:    "Reached the max number of machines in the cluster",
	Unauthorized:   "The request requires user authentication",
	ValueRequired:  "Value is Required in POST form",
	TTLNaN:         "The given TTL in POST form is not a number",
	IndexNaN:       "The given index in POST form is not a number",
	InvalidField:   "Invalid field",
	InvalidForm:    "Invalid POST form",
	RaftInternal:   "Raft Internal Error",
	LeaderElect:    "During Leader Election",
	Keyword:        "The prefix of the given key is a keyword in etcd",
	IndexCleared:   "The event in requested index is outdated and cleared",
	WatcherCleared: "watcher is cleared due to etcd recovery",
}

// New returns an error with one of the codes.
func New(code int, cause string) Error { return Error{code, messages[code], cause} }

// OfHTTP returns an error that has no code of its own: its code is the HTTP status.
func OfHTTP(status int, cause string) Error { return Error{status, http.StatusText(status), cause} }

// Status returns the HTTP status of an answer with one of the codes.
func Status(code int) int {
	switch code {
	case KeyNotFound:
		return http.StatusNotFound
	case Unauthorized:
		return http.StatusUnauthorized
	case RaftInternal, LeaderElect, WatcherCleared:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}
