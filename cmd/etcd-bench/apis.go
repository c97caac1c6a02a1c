package main

const oursV2 = "ours, v2"

// bothAPIs compares this project's server through its v2 API with itself through v1: one machine,
// requests, and an event to many watchers.
func (b *bench) bothAPIs() error {
	byV1 := named(b.systems, ours)[0]
	d := *v2
	d.query = map[operation]string{localRead: "?quorum=false"}
	byV2 := ownSystem(byV1.version[0], &d)
	byV2.name = oursV2
	both := []*system{byV2, byV1}
	return b.titled("v2: ", func() error {
		if err := b.requestsTo(both, 1, b.loads(typical), []operation{write, localRead, linearizableRead}); err != nil {
			return err
		}
		return b.tellCrowds(both)
	})
}
