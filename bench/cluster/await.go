package main

import (
	"context"
	"fmt"
	"time"
)

// await asks again every 100 ms until done says yes, the limit is over, the run is stopped or one
// of the processes ended. Its error names what was waited for and what was seen last.
func await(ctx context.Context, limit time.Duration, what string,
	done func(context.Context) (bool, string), needed ...*process) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := "nothing seen yet"
	for {
		for _, p := range needed {
			if err := p.fell(); err != nil {
				return fmt.Errorf("waited for %s, but %w", what, err)
			}
		}
		ok, state := done(ctx)
		if ok {
			return nil
		}
		if state != "" && ctx.Err() == nil {
			last = state
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s; last: %s", limit, what, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// pause sleeps unless the run is stopped first.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
