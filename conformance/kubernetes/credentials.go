package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority issues the certificates of one run; nothing outlives it.
type authority struct {
	dir     string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	serial  int64
	revoked []x509.RevocationListEntry
}

func newAuthority(dir, name string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{dir: dir, cert: cert, key: key, serial: 1}
	return a, writePEM(a.path("ca.crt"), "CERTIFICATE", der)
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// issue writes name.crt and name.key, good for serving on loopback and as a client. Files that are
// there are replaced whole, as a rotation does.
func (a *authority) issue(name, commonName string, groups ...string) error {
	return a.issueUntil(time.Now().Add(24*time.Hour), name, commonName, groups...)
}

func (a *authority) issueUntil(end time.Time, name, commonName string, groups ...string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: commonName, Organization: groups},
		NotBefore:    time.Now().Add(-2 * time.Hour), NotAfter: end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)},
		DNSNames:    []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(a.path(name+".key"), "EC PRIVATE KEY", private); err != nil {
		return err
	}
	return writePEM(a.path(name+".crt"), "CERTIFICATE", der)
}

// read gives a certificate that was issued.
func (a *authority) read(name string) (*x509.Certificate, error) {
	text, err := os.ReadFile(a.path(name + ".crt"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s.crt holds no certificate", name)
	}
	return x509.ParseCertificate(block.Bytes)
}

// revoke adds the named certificates to the revocation list and writes it anew (DER, as etcd reads
// it). Without names it writes the list as it is.
func (a *authority) revoke(names ...string) error {
	for _, name := range names {
		cert, err := a.read(name)
		if err != nil {
			return err
		}
		a.revoked = append(a.revoked, x509.RevocationListEntry{SerialNumber: cert.SerialNumber,
			RevocationTime: time.Now()})
	}
	template := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()),
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(24 * time.Hour),
		RevokedCertificateEntries: a.revoked}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	if err != nil {
		return err
	}
	return replace(a.path("revoked.crl"), der)
}

// serviceAccountKey writes the key that signs service-account tokens.
func (a *authority) serviceAccountKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return writePEM(a.path("service-account.key"), "RSA PRIVATE KEY",
		x509.MarshalPKCS1PrivateKey(key))
}

func writePEM(path, kind string, der []byte) error {
	return replace(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// replace puts a file in place in one step: nobody reads half of it.
func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return replace(to, content)
}

// kubeconfig writes the file by which user reaches the API server at url.
func (a *authority) kubeconfig(file, user, url string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: conformance
clusters:
- name: conformance
  cluster: {server: %q, certificate-authority: %q}
users:
- name: user
  user: {client-certificate: %q, client-key: %q}
contexts:
- name: conformance
  context: {cluster: conformance, user: user}
`, url, a.path("ca.crt"), a.path(user+".crt"), a.path(user+".key"))
	return os.WriteFile(a.path(file), []byte(text), 0o600)
}
