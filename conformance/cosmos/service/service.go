// Package service brings up an emulator of Azure Cosmos DB and an account in front of it, with a key in a file, as
// Meridian's --journal wants them, in the judge's own process.
package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"conformance/cosmos/account"
	"conformance/cosmos/emulator"
)

// Regions are what an account has unless told otherwise: as many as a cluster has replicas.
var Regions = []string{"West Europe", "North Europe", "UK South"}

// Service is what is up.
type Service struct {
	*account.Account
	// KeyFile is where the replicas read the key.
	KeyFile  string
	emulator *emulator.Emulator
}

// Start brings up an account whose key file is in a folder.
func Start(options account.Options, folder string) (*Service, error) {
	s := &Service{KeyFile: filepath.Join(folder, "key")}
	if len(options.Regions) == 0 {
		options.Regions = Regions
	}
	options.Key = NewKey()
	if err := WriteKey(s.KeyFile, options.Key); err != nil {
		return nil, err
	}
	var err error
	if s.emulator, err = emulator.Start(); err != nil {
		return nil, err
	}
	options.Upstream = s.emulator.URL
	if s.Account, err = account.New(options); err != nil {
		s.emulator.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends all of it.
func (s *Service) Stop() {
	s.Account.Close()
	s.emulator.Stop()
}

const container = "EtcdDB/EtcdData"

// Journal is the address of the container, for a replica that runs in this region; in none if it is empty.
func (s *Service) Journal(region string) string {
	words := url.Values{"key_file": {s.KeyFile}, "emulator": {"on"}}
	if region != "" {
		words.Set("region", region)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/")
	return "cosmos://" + host + "/" + container + "?" + strings.ReplaceAll(words.Encode(), "+", "%20")
}

// Init has Meridian make the database and the container.
func (s *Service) Init(ctx context.Context, binary string) error {
	out, err := exec.CommandContext(ctx, binary, "cosmos", "init", s.Journal("")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s cosmos init: %w\n%s", binary, err, out)
	}
	return nil
}

// NewKey draws one.
func NewKey() string {
	secret := make([]byte, 64)
	rand.Read(secret)
	return base64.StdEncoding.EncodeToString(secret)
}

// WriteKey puts a key where replicas read it, at once and whole.
func WriteKey(path, key string) error {
	next := path + ".next"
	if err := os.WriteFile(next, []byte(key+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
