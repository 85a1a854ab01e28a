package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"conformance/cosmos/account"
)

// bare is a client that only creates items, on a connection that stays open: the floor under a put.
type bare struct {
	url, key string
	size     int
	count    int
	client   *http.Client
}

const (
	bareLink      = "dbs/EtcdDB/colls/EtcdData"
	barePartition = "bare"
)

func newBare(w *world, size int) (*bare, error) {
	key, err := os.ReadFile(w.KeyFile)
	return &bare{url: w.Regions()[0].URL(), key: strings.TrimSpace(string(key)), size: size, client: &http.Client{}}, err
}

// create makes one item of the size that a put's has.
func (b *bare) create(ctx context.Context) error {
	b.count++
	item := fmt.Appendf(nil, `{"id":"%d-%d","pk":%q,"b":"`, time.Now().UnixNano(), b.count, barePartition)
	item = append(item, bytes.Repeat([]byte("b"), max(0, b.size-len(item)-2))...)
	item = append(item, `"}`...)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+bareLink+"/docs", bytes.NewReader(item))
	if err != nil {
		return err
	}
	date := time.Now().UTC().Format(http.TimeFormat)
	signature := account.Sign(b.key, http.MethodPost, "docs", bareLink, date)
	for name, value := range map[string]string{"x-ms-date": date, "x-ms-version": "2018-12-31", "Content-Type": "application/json",
		"Prefer": "return=minimal", "x-ms-documentdb-partitionkey": fmt.Sprintf("[%q]", barePartition),
		"Authorization": url.QueryEscape("type=master&ver=1.0&sig=" + signature)} {
		request.Header.Set(name, value)
	}
	reply, err := b.client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	said, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusCreated {
		err = fmt.Errorf("a bare create is answered %s %s", reply.Status, said)
	}
	return err
}
