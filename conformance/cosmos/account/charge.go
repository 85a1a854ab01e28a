package account

import "net/http"

// The prices that Microsoft names, https://learn.microsoft.com/azure/cosmos-db/optimize-cost-reads-writes: a point read of
// 1 KB is 1 request unit and of 100 KB 10; an insert of 1 KB that indexes nothing 5.5, of 100 KB 50; Strong and Bounded
// Staleness double what every read costs (there, and https://learn.microsoft.com/azure/cosmos-db/request-units). Between
// and beyond them a straight line is drawn here, which is ours. No price of a query is named: 2.3 is about what the
// cheapest ones are seen to cost, and each item is charged like the reading of its bytes. An item's deletion is charged like
// its insertion; a replacement is half as much again, as in the emulator of Microsoft's own client for Rust
// (azure_data_cosmos_driver, in_memory_emulator/ru_model.rs). So these are documented or estimated prices, not measured ones.
const (
	readFirst  = 1.0
	readMore   = (10 - 1) / 99.0
	writeFirst = 5.5
	writeMore  = (50 - 5.5) / 99.0
	// queryFirst is a page of a query that finds nothing; queryItem is each item's share of finding it.
	queryFirst = 2.3
	queryItem  = 0.1
	// A create that meets an item reads it.
	conflict    = 1.0
	replaceMore = 1.5
	doubled     = 2
)

func kilobytes(size int) float64 { return float64(size) / 1024 }

// readPrice is that of a point read of so many bytes.
func readPrice(size int) float64 { return readFirst + max(0, kilobytes(size)-1)*readMore }

// writePrice is that of an insertion.
func writePrice(size int) float64 { return writeFirst + max(0, kilobytes(size)-1)*writeMore }

// queryPrice is that of a page.
func queryPrice(items, size int) float64 {
	return queryFirst + float64(items)*queryItem + kilobytes(size)*readMore
}

// price is what a request costs whose answer the emulator gave; removed is the size of what a deletion took away.
func (a *Account) price(q *query, given *answer, items, removed int) float64 {
	reads := 1.0
	if a.options.Consistency == Strong || a.options.Consistency == BoundedStaleness {
		reads = doubled
	}
	found := given.status < http.StatusBadRequest
	switch q.operation {
	case read:
		if !found {
			return readFirst * reads
		}
		return readPrice(len(given.body)) * reads
	case search:
		return queryPrice(items, len(given.body)) * reads
	case create:
		if !found {
			return conflict
		}
		return writePrice(len(q.body))
	case replace, upsert:
		if !found {
			return conflict
		}
		return writePrice(len(q.body)) * replaceMore
	case remove:
		if !found {
			return readFirst
		}
		return writePrice(removed)
	case batch:
		return writePrice(len(q.body))
	}
	return readFirst
}
