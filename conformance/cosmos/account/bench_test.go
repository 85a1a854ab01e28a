package account

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What an emulator and the account before it can do at all: items of the size of one put and of a full batch.
func BenchmarkCreate(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			a, err := New(Options{Upstream: shared.URL})
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			send := func(path, partition, body string) {
				request, err := http.NewRequest("POST", a.URL()+path, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				request.Header.Set("x-ms-documentdb-partitionkey", fmt.Sprintf("[%q]", partition))
				reply, err := http.DefaultClient.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				defer reply.Body.Close()
				if _, err := io.Copy(io.Discard, reply.Body); err != nil || reply.StatusCode != 201 && reply.StatusCode != 409 {
					b.Fatal(reply.Status, err)
				}
			}
			send("dbs", "", `{"id":"bench"}`)
			send("dbs/bench/colls", "", `{"id":"c","partitionKey":{"paths":["/pk"],"kind":"Hash"}}`)
			text, partition := strings.Repeat("x", size), fmt.Sprint(time.Now().UnixNano())
			for i := 0; b.Loop(); i++ {
				send("dbs/bench/colls/c/docs", partition, fmt.Sprintf(`{"id":"%d","pk":%q,"b":%q}`, i, partition, text))
			}
		})
	}
}
