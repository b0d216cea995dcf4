package server

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/llama-webgpu/llama-webgpu/format/strict"
)

// maxBody is how large a request may be, unpacked.
const maxBody = 32 << 20

// readRequest reads the body into a value. Whatever its Content-Type says, it is to be JSON; it may be gzipped.
func readRequest(w http.ResponseWriter, r *http.Request, to any) error {
	data, err := readBody(w, r)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // of clients that write a byte order mark
	if len(bytes.TrimSpace(data)) == 0 {
		return bad("", "the request has no body: send JSON")
	}
	err = json.Unmarshal(data, to)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return wrongType("", wrong)
	}
	if err != nil {
		return bad("", "the request is not JSON: %v", err)
	}
	return nil
}

// readBody reads the body, unpacked.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	in := io.Reader(http.MaxBytesReader(w, r.Body, maxBody))
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, bad("", "the request could not be unpacked: %v", err)
		}
		in = z
	default:
		return nil, &apiError{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %q: want gzip, or none", encoding), "invalid_request_error", "", ""}
	}
	data, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	var large *http.MaxBytesError
	if errors.As(err, &large) || len(data) > maxBody {
		return nil, &apiError{http.StatusRequestEntityTooLarge, "the request is larger than 32 MiB", "invalid_request_error", "", ""}
	}
	if err != nil {
		return nil, bad("", "the request could not be read: %v", err)
	}
	return data, nil
}

// wrongType says that a field has a value of a wrong type, in the words of JSON. in is the part of the request that was read, "": all of it.
func wrongType(in string, e *json.UnmarshalTypeError) error {
	var path []string
	if in != "" {
		path = append(path, in)
	}
	for _, name := range strings.Split(e.Field, ".") {
		if name != "" && name != "sampling" && name != "calling" && name != "forming" { // structs that are embedded
			path = append(path, name)
		}
	}
	param := strings.Join(path, ".")
	at := param
	if at == "" {
		at = "the request"
	}
	value, number, _ := strings.Cut(e.Value, " ") // "number 1.5"
	return bad(param, "%s is %s, want %s", at, strings.TrimSpace(strict.KindName(kinds[value])+" "+number), strict.KindName(e.Type.Kind()))
}

// kinds are the Go types of JSON values, by the names that encoding/json gives these.
var kinds = map[string]reflect.Kind{
	"string": reflect.String, "bool": reflect.Bool, "number": reflect.Float64, "array": reflect.Slice, "object": reflect.Map,
}

// whole is an integer. Clients in languages whose numbers are all floating-point write it as 16.0.
type whole int

// UnmarshalJSON implements json.Unmarshaler.
func (n *whole) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if i, err := strconv.ParseInt(string(data), 10, strconv.IntSize); err == nil {
		*n = whole(i)
		return nil
	}
	f, err := strconv.ParseFloat(string(data), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return &json.UnmarshalTypeError{Value: valueOf(data), Type: reflect.TypeFor[int]()}
	}
	*n = whole(f)
	return nil
}

// valueOf names a JSON value as encoding/json does.
func valueOf(data []byte) string {
	switch data[0] {
	case '"':
		return "string"
	case '[':
		return "array"
	case '{':
		return "object"
	case 't', 'f':
		return "bool"
	}
	return "number " + string(data)
}
