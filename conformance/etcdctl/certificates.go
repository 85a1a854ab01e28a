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
)

// certificates are an authority, a server's pair and two clients' in a directory: ca.pem,
// server.pem, client.pem (the common name "root"), stranger.pem (of another authority).
type certificates struct {
	dir    string
	client *tls.Config
}

func (c *certificates) serverFlags() []string {
	return []string{
		"--cert-file=" + filepath.Join(c.dir, "server.pem"),
		"--key-file=" + filepath.Join(c.dir, "server.key"),
		"--trusted-ca-file=" + filepath.Join(c.dir, "ca.pem"),
		"--client-cert-auth",
	}
}

// authority signs.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newCertificates(dir string) (*certificates, error) {
	ours, err := newAuthority(dir, "ca")
	if err != nil {
		return nil, err
	}
	other, err := newAuthority(dir, "other-ca")
	if err != nil {
		return nil, err
	}
	for _, each := range []struct {
		by           *authority
		file, common string
	}{{ours, "server", "server"}, {ours, "client", "root"}, {other, "stranger", "root"}} {
		if err := each.by.issue(dir, each.file, each.common); err != nil {
			return nil, err
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ours.certificate)
	return &certificates{dir: dir, client: &tls.Config{Certificates: []tls.Certificate{pair},
		RootCAs: roots, MinVersion: tls.VersionTLS12}}, nil
}

func template(common string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: common},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func newAuthority(dir, file string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	form := template(file)
	form.IsCA, form.BasicConstraintsValid = true, true
	form.KeyUsage = x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key}, writePEM(dir, file+".pem", "CERTIFICATE", raw)
}

func (a *authority) issue(dir, file, common string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	form := template(common)
	form.KeyUsage = x509.KeyUsageDigitalSignature
	form.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	form.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	form.DNSNames = []string{"localhost"}
	raw, err := x509.CreateCertificate(rand.Reader, form, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	plain, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(dir, file+".key", "EC PRIVATE KEY", plain); err != nil {
		return err
	}
	return writePEM(dir, file+".pem", "CERTIFICATE", raw)
}

func writePEM(dir, file, kind string, raw []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
	return os.WriteFile(filepath.Join(dir, file), text, 0o600)
}
