package httpfront

// What the tests of the engine look at, which run it with the routes of others.

const (
	MaxEarly  = maxEarly
	MaxURI    = maxURI
	MaxHeader = maxHeader
	FirstBody = firstBody
)

// LongAgo is the deadline that ends the Read of a watch.
var LongAgo = longAgo

// Open is how many connections are open.
func (s *Server) Open() int64 { return s.port.Open() }

// Refused is how many connections were one too many.
func (s *Server) Refused() int64 { return s.port.Refused() }

// BodyBytes is what the bodies under way take.
func (s *Server) BodyBytes() int64 { return s.bodies.used.Load() }

// Requests is how many requests there were to the machine.
func (s *Server) Requests() uint64 { return s.lastID.Load() }
