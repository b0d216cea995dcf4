package bundle

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
)

// headerSize is the size of the blob's header.
const headerSize = 256

// magic starts a blob. Its line ends show a transfer that took it for text.
const magic = "LLWGPU\r\n"

// header returns the blob's header:
//
//	0   8  magic
//	8   4  format version, uint32
//	12  4  header size, uint32
//	16 16  bundle id
//	32  8  file size, uint64
//	40  4  number of the file, from 0, uint32
//	44     zeros up to 256
func header(id string, number int, size int64) []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], Version)
	binary.LittleEndian.PutUint32(b[12:], headerSize)
	raw, _ := hex.DecodeString(id)
	copy(b[16:32], raw)
	binary.LittleEndian.PutUint64(b[32:], uint64(size))
	binary.LittleEndian.PutUint32(b[40:], uint32(number))
	return b
}

// checkHeader compares the header b with what the manifest says.
func checkHeader(b []byte, id string, number int, size int64) error {
	if string(b[:8]) != magic {
		return corrupt("starts with %q: want %q", b[:8], magic)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != Version {
		return corrupt("header: version %d, the manifest's is %d", v, Version)
	}
	if n := binary.LittleEndian.Uint32(b[12:]); n != headerSize {
		return corrupt("header: header size is %d: want %d", n, headerSize)
	}
	if got := hex.EncodeToString(b[16:32]); got != id {
		return corrupt("header: bundle id %s: the manifest's is %s", got, id)
	}
	if n := binary.LittleEndian.Uint64(b[32:]); n != uint64(size) {
		return corrupt("header: file size %d, the manifest's is %d", n, size)
	}
	if n := binary.LittleEndian.Uint32(b[40:]); n != uint32(number) {
		return corrupt("header: file number %d: in this place the manifest has number %d", n, number)
	}
	if !bytes.Equal(b, header(id, number, size)) {
		return corrupt("header: bytes 44 to %d are not all zero", headerSize-1)
	}
	return nil
}
