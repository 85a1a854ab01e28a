package account

import "time"

// budget is the request units that are granted: every second has its own, and one that is overdrawn is paid by the next.
type budget struct {
	rate   float64
	left   float64
	filled time.Time
}

// fill lets pass what time has granted, at most what one second grants.
func (b *budget) fill(now time.Time) {
	if b.filled.IsZero() {
		b.left = b.rate
	} else {
		b.left = min(b.rate, b.left+now.Sub(b.filled).Seconds()*b.rate)
	}
	b.filled = now
}

// SetThroughput changes how many request units a second are granted; zero is without limit.
func (a *Account) SetThroughput(rate float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.budget = budget{rate: rate}
}

// throttle refuses what the budget has nothing for.
func (a *Account) throttle(q *query) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.budget.rate == 0 || !q.ofItem() {
		return nil
	}
	a.budget.fill(time.Now())
	if a.budget.left > 0 {
		return nil
	}
	short := -a.budget.left/a.budget.rate*float64(time.Second) + float64(time.Millisecond)
	return throttled(time.Duration(short))
}

// spend takes a charge from the budget.
func (a *Account) spend(charge float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.budget.rate > 0 {
		a.budget.left -= charge
	}
}
