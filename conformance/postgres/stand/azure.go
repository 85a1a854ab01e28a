package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"conformance/cosmos/account"
	"conformance/cosmos/service"
	"conformance/store"
)

const (
	// azureDelay is what the way to the service takes, there and back.
	azureDelay = 5 * time.Millisecond
	// failover is how long nobody takes writes while the write region moves.
	failover = 5 * time.Second
)

// bringUpAzure starts an account and makes the container in it.
func (s *stand) bringUpAzure(ctx context.Context, wanted settings) (err error) {
	if s.folder, err = os.MkdirTemp(store.TempDir(), "stand-"); err != nil {
		return err
	}
	s.azure, err = service.Start(account.Options{Consistency: wanted.cosmos, Delay: azureDelay}, s.folder)
	if err != nil {
		return err
	}
	fmt.Printf("journal %s\n", s.azure.Journal(""))
	return s.azure.Init(ctx, wanted.binary)
}

// moveWrites returns when another region takes writes.
func (s *stand) moveWrites(context.Context) (string, error) {
	if s.azure == nil {
		return "", errors.New("there is no account of Azure Cosmos DB here")
	}
	all := s.azure.Regions()
	from, to := all[0].Name, all[len(all)-1].Name
	if err := s.azure.MoveWrites(to, failover, account.WriteForbidden); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s takes writes instead of %s after %v", to, from, failover), nil
}
