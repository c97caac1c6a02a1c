package grpcfront

import (
	"bytes"
	"io"
	"os"

	"google.golang.org/grpc/grpclog"
)

// The gRPC library logs for all servers and clients of a process. What it says about single clients would be
// written around the log of the machine, as often as anybody likes, and can quote their headers with
// passwords in them. The clients get the same as an error.
func init() { grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, onlyFatal{})) }

// onlyFatal writes what the library says before it ends the process.
type onlyFatal struct{}

func (onlyFatal) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(p, []byte("FATAL: ")) {
		return len(p), nil
	}
	return os.Stderr.Write(p)
}
