package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// dateLimit is how far a client's clock may be off.
const dateLimit = 15 * time.Minute

// provenWith checks the signature of a request:
// https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
func (q *query) provenWith(key string, now time.Time) bool {
	token, err := url.QueryUnescape(q.header.Get("Authorization"))
	if err != nil {
		return false
	}
	signature, found := strings.CutPrefix(token, "type=master&ver=1.0&sig=")
	date := q.header.Get("x-ms-date")
	said, err := time.Parse(http.TimeFormat, date)
	if !found || err != nil || now.Sub(said).Abs() > dateLimit {
		return false
	}
	// A plus that was not escaped reads as a blank.
	signature = strings.ReplaceAll(signature, " ", "+")
	kind, link := q.signed()
	plain, err := url.PathUnescape(link)
	if err != nil {
		return false
	}
	for _, each := range []string{link, plain} {
		if hmac.Equal([]byte(signature), []byte(Sign(key, q.method, kind, each, date))) {
			return true
		}
	}
	return false
}

// signed is the kind of resource and its link, as they are signed: a list's link is that of what the list belongs to.
func (q *query) signed() (kind, link string) {
	parts := strings.Split(strings.Trim(q.path, "/"), "/")
	if parts[0] == "" {
		return "", ""
	}
	if len(parts)%2 == 1 {
		return parts[len(parts)-1], strings.Join(parts[:len(parts)-1], "/")
	}
	kind = parts[len(parts)-2]
	if kind == "offers" {
		return kind, strings.ToLower(parts[len(parts)-1])
	}
	return kind, strings.Join(parts, "/")
}

// Sign is the signature of a request by a key in base64.
func Sign(key, method, kind, link, date string) string {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return ""
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(strings.ToLower(method) + "\n" + strings.ToLower(kind) + "\n" + link + "\n" + strings.ToLower(date) + "\n\n"))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
