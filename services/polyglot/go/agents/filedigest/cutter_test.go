package filedigest

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"

	"lukechampine.com/blake3"
)

func content(seed uint64, size int) []byte {
	made := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(made)
	return made
}

func partsOf(content []byte, piece int) []part {
	file := newDigesting(false)
	for rest := content; len(rest) > 0; {
		taken := min(piece, len(rest))
		file.take(rest[:taken])
		rest = rest[taken:]
	}
	file.finish()
	return file.parts
}

// How a file comes says nothing about where it is cut.
func TestPiecesDoNotMoveCuts(t *testing.T) {
	whole := content(1, 3<<20)
	wanted := partsOf(whole, len(whole))
	for _, piece := range []int{1, 63, 64, 65, 4096, partBytesMin - 1, partBytesMax + 1} {
		if found := partsOf(whole, piece); !slices.Equal(found, wanted) {
			t.Errorf("pieces of %d bytes: %d parts, not %d", piece, len(found), len(wanted))
		}
	}
}

// Parts are the file without a gap, of the sizes that the contract says, near their mean.
func TestSizesOfParts(t *testing.T) {
	whole := content(2, 64<<20)
	parts := partsOf(whole, 1<<20)
	place := 0
	for number, one := range parts {
		size := int(one.size)
		if size > partBytesMax || (size < partBytesMin && number+1 < len(parts)) {
			t.Errorf("part %d has %d bytes", number, size)
		}
		if one.digest != digest(blake3.Sum256(whole[place:place+size])) {
			t.Errorf("part %d has another digest", number)
		}
		place += size
	}
	if place != len(whole) {
		t.Error(place)
	}
	if mean := place / len(parts); mean < partBytesMean/2 || mean > 2*partBytesMean {
		t.Errorf("the mean is %d", mean)
	}
}

// Bytes without any change are cut at the largest size: they never make a part without an end.
func TestADullFileIsCutToo(t *testing.T) {
	parts := partsOf(make([]byte, 4*partBytesMax+1), 1<<20)
	if len(parts) < 5 || int(parts[0].size) > partBytesMax || parts[0].digest != parts[1].digest {
		t.Error(len(parts), parts[0].size)
	}
}

// What is put in, taken out or changed moves no cut but those around it.
func TestAChangeMovesFewCuts(t *testing.T) {
	whole := content(3, 16<<20)
	known := map[digest]bool{}
	for _, one := range partsOf(whole, 1<<20) {
		known[one.digest] = true
	}
	at := 5 << 20
	for what, changed := range map[string][]byte{
		"put in":    bytes.Join([][]byte{whole[:at], []byte("put in"), whole[at:]}, nil),
		"taken out": bytes.Join([][]byte{whole[:at], whole[at+1000:]}, nil),
		"in front":  append([]byte("x"), whole...),
	} {
		fresh := 0
		for _, one := range partsOf(changed, 1<<20) {
			if !known[one.digest] {
				fresh++
			}
		}
		if fresh > 4 {
			t.Errorf("%s: %d parts are new", what, fresh)
		}
	}
}

// Cuts stay where they are over versions, or nothing in an index were known any more.
func TestCutsStayWhereTheyAre(t *testing.T) {
	const size = 1 << 20
	made := make([]byte, 0, size)
	for sum := sha256.Sum256(nil); len(made) < size; sum = sha256.Sum256(sum[:]) {
		made = append(made, sum[:]...)
	}
	var sizes []int32
	for _, one := range partsOf(made, size) {
		sizes = append(sizes, one.size)
	}
	wanted := []int32{76279, 66216, 85916, 90640, 16399, 88836, 92465, 67598, 76361, 98216, 68889, 71588, 81436, 67737}
	if !slices.Equal(sizes, wanted) {
		t.Error(sizes)
	}
}
