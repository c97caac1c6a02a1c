// Package freeport gives tests addresses of the loopback interface at which they may start servers. It promises
// that no test run gets an address twice, and that the kernel gives none of them to anybody else meanwhile. It
// must never be used outside tests.
package freeport
