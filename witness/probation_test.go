package witness

import (
	"slices"
	"testing"
)

func TestProbation(t *testing.T) {
	const quiet, patience = 5, 10
	others := []uint64{1, 2}
	// Each step is a letter: '.' is a tick, the others are events of member 1, or 2 in capitals.
	steps := map[byte]func(p *Probation){
		'w': func(p *Probation) { p.Welcomed(1) }, 'W': func(p *Probation) { p.Welcomed(2) },
		'r': func(p *Probation) { p.Rival(1) }, 'R': func(p *Probation) { p.Rival(2) },
		'u': func(p *Probation) { p.Unreachable(1) }, 'U': func(p *Probation) { p.Unreachable(2) },
	}
	for _, c := range []struct {
		name, steps string
		nothing     bool // its log is empty
		incomplete  bool // it has not read its log yet
		over        bool
		givesWay    bool
	}{
		{name: "just started", steps: ""},
		{name: "all welcome it", steps: "wW", over: true},
		{name: "one welcomes it", steps: "w"},
		{name: "one welcomes it, the other is down", steps: "w.....", over: true},
		{name: "nobody is heard of", steps: ".....", over: true},
		{name: "all welcome it whom it knows so far", steps: "wW.....", incomplete: true},
		{name: "nothing to lose", nothing: true, over: true},
		{name: "another process is connected", steps: "wR........."},
		{name: "another process stays connected", steps: "wR..........", givesWay: true},
		{name: "the other process was dead", steps: "wR....W", over: true},
		{name: "the one who said so has gone", steps: "wR.....U.....", over: true},
		{name: "the one who said so comes and goes", steps: "R........UR........UR....U...."},
		{name: "said again and again", steps: "R....R....R..", givesWay: true},
		{name: "the newcomer meets one that takes part", steps: "wWR..........", over: true},
	} {
		p := NewProbation(quiet, patience, c.nothing)
		givesWay := false
		for _, step := range []byte(c.steps) {
			if step == '.' {
				givesWay = p.Tick() || givesWay
			} else {
				steps[step](p)
			}
			p.Over(slices.Values(others), !c.incomplete)
		}
		if over := p.Over(slices.Values(others), !c.incomplete); over != c.over || givesWay != c.givesWay {
			t.Errorf("%s: over %v, gives way %v; want %v, %v", c.name, over, givesWay, c.over, c.givesWay)
		}
	}
}
