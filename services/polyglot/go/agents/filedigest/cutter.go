package filedigest

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// A part is at least and at most this long; the last of a file may be shorter.
const (
	partBytesMin  = 16 << 10
	partBytesMean = 64 << 10
	partBytesMax  = 256 << 10
)

// Cuts are made where the bits of a rolling fingerprint under a mask are 0: seldom before the mean
// size, and often behind it, so that sizes are near the mean (normalized chunking, as in FastCDC).
// The masks take the upper bits, which hang on more of the bytes before.
var (
	maskBefore = mask(bits.Len(partBytesMean) - 1 + 2)
	maskBehind = mask(bits.Len(partBytesMean) - 1 - 2)
	gear       = gears()
)

func mask(ones int) uint64 { return ^uint64(0) << (64 - ones) }

// gears are 256 numbers without a pattern. Another choice would cut everything elsewhere, so that
// nothing in an index were known any more: they never change.
func gears() (made [256]uint64) {
	for place := range made {
		digest := sha256.Sum256([]byte{'g', 'e', 'a', 'r', byte(place)})
		made[place] = binary.BigEndian.Uint64(digest[:])
	}
	return made
}

// A cutter says where parts end, as their bytes come: of the content alone, so that what changed in
// a file moves no cut but those around it. It keeps no bytes.
type cutter struct {
	fingerprint uint64
	size        int
}

// next is how many of these bytes belong to the part that is open, and whether it ends there.
func (c *cutter) next(content []byte) (int, bool) {
	// The fingerprint forgets a byte after 64 more, so those far before the smallest size do not count.
	place := min(len(content), max(0, partBytesMin-64-c.size))
	place = c.warm(content, place)
	place, isCut := c.roll(content, place, partBytesMean, maskBefore)
	if !isCut {
		place, isCut = c.roll(content, place, partBytesMax, maskBehind)
	}
	c.size += place
	if isCut || c.size >= partBytesMax {
		c.fingerprint, c.size = 0, 0
		return place, true
	}
	return place, false
}

// warm the fingerprint up, up to the smallest size, before which nothing is cut.
func (c *cutter) warm(content []byte, place int) int {
	for end := min(len(content), partBytesMin-c.size); place < end; place++ {
		c.fingerprint = c.fingerprint<<1 + gear[content[place]]
	}
	return place
}

// roll on from `place` until the part has `until` bytes, or is cut.
func (c *cutter) roll(content []byte, place, until int, mask uint64) (int, bool) {
	fingerprint, end := c.fingerprint, min(len(content), until-c.size)
	for ; place < end; place++ {
		fingerprint = fingerprint<<1 + gear[content[place]]
		if fingerprint&mask == 0 {
			return place + 1, true
		}
	}
	c.fingerprint = fingerprint
	return place, false
}
