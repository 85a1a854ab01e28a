package main

import "time"

// shrink drops steps of a failing script, by halves and then singly, as long as the same field
// of the same method still differs on fresh servers. It gives up improving after the limit.
func shrink(targets Targets, failing Result, limit time.Duration, say func(string, ...any)) Result {
	deadline := time.Now().Add(limit)
	signature := failing.Diffs[0].signature()
	best := failing
	try := func(script []Step) bool {
		if time.Now().After(deadline) {
			return false
		}
		result, err := runScript(targets, script)
		if err != nil || len(result.Diffs) == 0 || result.Diffs[0].signature() != signature {
			return false
		}
		best = result
		return true
	}
	// Most failures need only what came just before.
	for last := 1; last < len(failing.Script); last *= 4 {
		if try(failing.Script[len(failing.Script)-last:]) {
			break
		}
	}
	for size := max(1, len(best.Script)/2); ; size = max(1, size/2) {
		dropped := dropChunks(&best, size, try)
		say("shrinking: %d steps left", len(best.Script))
		if (size == 1 && !dropped) || time.Now().After(deadline) {
			return best
		}
	}
}

// dropChunks tries to do without each run of so many steps, from the end to the start.
func dropChunks(best *Result, size int, try func([]Step) bool) bool {
	dropped := false
	for end := len(best.Script); end > 0; {
		start := max(0, end-size)
		current := best.Script
		shorter := make([]Step, 0, len(current))
		shorter = append(shorter, current[:start]...)
		shorter = append(shorter, current[min(end, len(current)):]...)
		if len(shorter) > 0 && try(shorter) {
			dropped = true
		}
		end = min(start, len(best.Script))
	}
	return dropped
}
