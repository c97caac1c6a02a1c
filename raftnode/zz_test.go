package raftnode_test
import ("testing";"fmt")
func TestZZ(t *testing.T) {
	m := fresh(t)
	for i:=0;i<8;i++ {
		for {
		w, ok := m.node.Work()
		fmt.Printf("%d %v %+v status %+v\n", i, ok, w, m.node.Status())
		if !ok {break}
		m.accept(w)
		}
		m.sync(len(m.wal)); m.apply(len(m.store))
	}
}
