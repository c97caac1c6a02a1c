package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	fast "github.com/valyala/fasthttp"
)

// constantAnswer is the first argument of a process that is the ceiling: a bare fasthttp server
// that answers every request with the same body. It is followed by an address.
const constantAnswer = "constant-answer"

// ceilings serve until the process is ended, by the first argument of a process that does nothing else.
var ceilings = map[string]func(args []string) error{constantAnswer: serveConstant, constantGRPC: serveConstantGRPC}

// ceilingSystem is what no server over this engine can beat: nothing but reading a request and
// writing an answer as long as that of a read.
func ceilingSystem() *system {
	s := &system{name: fasthttp}
	s.command = func(c *cluster, i int) ([]string, error) {
		self, err := os.Executable()
		return []string{self, constantAnswer, c.members[i].clients}, err
	}
	s.speaks(v1)
	return s
}

func serveConstant(args []string) error {
	if len(args) != 1 {
		return errors.New(constantAnswer + " takes an address")
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	answer := fmt.Sprintf(`{"action":"GET","key":"/bench/1234","value":"%s","index":12345}`, strings.Repeat("x", 64))
	return fast.Serve(l, func(ctx *fast.RequestCtx) {
		ctx.SetContentType("application/json")
		ctx.SetBodyString(answer)
	})
}
