package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/credentials"
)

// Certificates are those of one run: an authority of its own, and a server and a client that it vouches
// for, ECDSA P-256 each. Every server of the run is started with the same files.
type Certificates struct {
	dir    string
	Client credentials.TransportCredentials
}

// NewCertificates makes the certificates and writes them into dir.
func NewCertificates(dir string) (*Certificates, error) {
	c := &Certificates{dir: dir}
	ca := certificate(1, "bench authority")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caKey, err := c.issue("ca", ca, ca, nil)
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"server", "client"} {
		leaf := certificate(int64(i+2), "bench "+name)
		leaf.KeyUsage = x509.KeyUsageDigitalSignature
		// etcd's gateway shows its own server the server's certificate.
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		if _, err := c.issue(name, leaf, ca, caKey); err != nil {
			return nil, err
		}
	}
	return c, c.loadClient()
}

// Flags tell a server to use the certificates and to demand the client's.
func (c *Certificates) Flags() []string {
	return []string{"--cert-file", c.path("server.crt"), "--key-file", c.path("server.key"),
		"--client-cert-auth", "--trusted-ca-file", c.path("ca.crt")}
}

func (c *Certificates) path(name string) string { return filepath.Join(c.dir, name) }

// certificate is good for a day, which is longer than any run.
func certificate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
}

// issue writes name.crt and name.key, signed with the parent's key, or with its own if that is nil.
func (c *Certificates) issue(name string, leaf, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), by)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(c.path(name+".crt"), "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return key, writePEM(c.path(name+".key"), "PRIVATE KEY", private)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// loadClient reads what a client needs. It keeps no sessions, so that every connection is a full handshake.
func (c *Certificates) loadClient() error {
	pair, err := tls.LoadX509KeyPair(c.path("client.crt"), c.path("client.key"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(c.path("ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c.Client = credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots})
	return nil
}
