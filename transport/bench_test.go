//go:build unix

package transport

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStream sends frames over loopback as fast as the stream takes them. The CPU time is
// that of both ends and the kernel.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64, 512, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			arrived, all, room := 0, make(chan struct{}), make(chan struct{}, 1)
			m := startMachine(b, machineConfig{deliver: func(uint64, Frame) {
				select {
				case room <- struct{}{}:
				default:
				}
				if arrived++; arrived == b.N {
					close(all)
				}
			}})
			s := connect(b, testConfig(alice), m.addr, Bulk, 4<<20)
			f := Frame{KindRaft, make([]byte, size)}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			before := cpuTime()
			b.ResetTimer()
			for range b.N {
				for !s.Send(f) {
					select {
					case <-room:
					case <-time.After(time.Millisecond): // the last signal came before the queue was full
					}
				}
			}
			<-all
			b.StopTimer()
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// cpuTime returns the CPU time that this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
