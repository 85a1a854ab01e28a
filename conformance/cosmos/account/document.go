package account

import (
	"errors"
	"net/http"
	"time"
)

// location is how the account's document names a region.
type location struct {
	Name     string `json:"name"`
	Endpoint string `json:"databaseAccountEndpoint"`
}

// document is what GET / answers; its shape is that of https://learn.microsoft.com/rest/api/cosmos-db/ and of what
// clients look at.
func (a *Account) document() *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	var readable, writable []location
	for _, r := range a.regionsNow() {
		here := location{r.Name, r.URL()}
		readable = append(readable, here)
		if r == a.writes || a.options.MultipleWrites && a.options.Consistency != Strong {
			writable = append(writable, here)
		}
	}
	policy := map[string]any{"defaultConsistencyLevel": a.options.Consistency}
	if a.options.Consistency == BoundedStaleness {
		policy["maxStalenessPrefix"], policy["maxIntervalInSeconds"] = 100_000, 300
	}
	return made(http.StatusOK, map[string]any{
		"id": "emulated", "_rid": "emulated.sql.cosmos.azure.com", "_self": "", "_dbs": "//dbs/", "media": "//media/",
		"addresses": "//addresses/", "writableLocations": writable, "readableLocations": readable,
		"enableMultipleWriteLocations": a.options.MultipleWrites, "continuousBackupEnabled": false,
		"userConsistencyPolicy":    policy,
		"userReplicationPolicy":    map[string]any{"asyncReplication": false, "minReplicaSetSize": 3, "maxReplicasetSize": 4},
		"systemReplicationPolicy":  map[string]any{"minReplicaSetSize": 3, "maxReplicasetSize": 4},
		"readPolicy":               map[string]any{"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
		"queryEngineConfiguration": "{}",
	})
}

// move is a write region that moves, while neither region takes writes.
type move struct {
	from, to *Region
	// how the old one refuses: WriteForbidden, Unavailable.
	how Kind
}

// MoveWrites makes another region the write region. For some time nobody takes writes: the old one answers how, the new
// one that it does not take any. It returns when the new one does.
func (a *Account) MoveWrites(to string, away time.Duration, how Kind) error {
	if how != WriteForbidden && how != Unavailable {
		return errors.New("a region that loses the writes answers " + string(WriteForbidden) + " or " + string(Unavailable))
	}
	a.mu.Lock()
	next, err := a.find(to)
	switch {
	case err != nil:
	case next.gone || next.down != "":
		err = errors.New(to + " does not serve")
	case a.moving != nil:
		err = errors.New("the writes are moving already")
	default:
		a.moving = &move{from: a.writes, to: next, how: how}
	}
	a.mu.Unlock()
	if err != nil {
		return err
	}
	time.Sleep(away)
	// A region takes writes only when it has all that were acknowledged.
	err = a.Lag(to, 0)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moving = nil
	if err == nil {
		a.writes = next
	}
	return err
}

// elsewhere refuses a write in a region that takes none.
func (a *Account) elsewhere(r *Region) *answer {
	switch {
	case a.moving != nil && r == a.moving.from:
		return (&Strike{Kind: a.moving.how}).refusal()
	case a.moving != nil || r != a.writes:
		return (&Strike{Kind: WriteForbidden}).refusal()
	}
	return nil
}

// Fail makes a region answer nothing but this, until Kind is empty; the whole account if the name is empty.
func (a *Account) Fail(name string, how Kind) error {
	if how != "" && !how.withoutEffect() {
		return errors.New(string(how) + " is nothing that a region can do to every request")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if name != "" {
		r, err := a.find(name)
		if err == nil {
			r.down = how
		}
		return err
	}
	for _, r := range a.regions {
		r.down = how
	}
	return nil
}
