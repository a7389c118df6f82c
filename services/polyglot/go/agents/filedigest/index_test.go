package filedigest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
)

var roomy = limits{fileBytesMax: 1 << 30, partsMax: 1 << 20, filesMax: 1 << 20}

func still() error { return nil }

func opened(t *testing.T, path string, limits limits) *index {
	t.Helper()
	made, err := openIndex(path, limits)
	if err != nil {
		t.Fatal(err)
	}
	// What the disk does is bbolt's own to test.
	made.store.NoSync = true
	t.Cleanup(func() { _ = made.close() })
	return made
}

// named is a part of the model: its size follows from its name.
func named(name byte) part { return part{digest: digest{name}, size: int32(name) + 1} }

func sizeOf(parts []part) (size int64) {
	for _, one := range parts {
		size += int64(one.size)
	}
	return size
}

// However files come, change and go, the index holds what a plain map would, and its sums too; also
// when it is opened again.
func TestTheIndexIsWhatAMapWouldBe(t *testing.T) {
	for seed := range uint64(8) {
		draw := rand.New(rand.NewPCG(seed, 0))
		path := filepath.Join(t.TempDir(), "index.db")
		found, model := opened(t, path, roomy), map[string][]part{}
		for range 100 {
			id := fmt.Sprint(draw.IntN(5))
			switch draw.IntN(4) {
			case 0:
				_, known := model[id]
				if _, err := found.forget(id); (err == nil) != known {
					t.Fatal(seed, id, err)
				}
				delete(model, id)
			case 1:
				if err := found.close(); err != nil {
					t.Fatal(err)
				}
				found = opened(t, path, roomy)
			default:
				var parts []part
				for range draw.IntN(2500) {
					parts = append(parts, named(byte(draw.IntN(40))))
				}
				if err := found.keep(id, sizeOf(parts), parts, still); err != nil {
					t.Fatal(seed, err)
				}
				model[id] = parts
			}
			compare(t, found, model)
		}
	}
}

func compare(t *testing.T, found *index, model map[string][]part) {
	t.Helper()
	different, wanted := map[digest]part{}, sums{files: int64(len(model))}
	for id, parts := range model {
		wanted.fileBytes += sizeOf(parts)
		for _, one := range parts {
			different[one.digest] = one
		}
		listed, _, count, err := found.list(id, 0, len(parts)+1)
		if err != nil || count != len(parts) || !slices.Equal(bare(listed), bare(parts)) {
			t.Fatal(id, err, count, len(parts))
		}
	}
	wanted.parts, wanted.partBytes = int64(len(different)), sizeOf(slices.Collect(maps.Values(different)))
	if sums, err := found.sums(); err != nil || sums != wanted {
		t.Fatal(err, sums, wanted)
	}
}

func bare(parts []part) []part {
	made := slices.Clone(parts)
	for place := range made {
		made[place].wasKnown = false
	}
	return made
}

// A file that comes when there is no room, or that nobody wants any more, leaves the index as it was.
func TestWhatIsNotKeptLeavesNothing(t *testing.T) {
	found := opened(t, filepath.Join(t.TempDir(), "index.db"), limits{partsMax: 2, filesMax: 2})
	kept := []part{named(1)}
	if err := found.keep("a", sizeOf(kept), kept, still); err != nil {
		t.Fatal(err)
	}
	if err := found.keep("a", 9, []part{named(2), named(3), named(4)}, still); !errors.Is(err, errFull) {
		t.Error(err)
	}
	gone := errors.New("the caller is gone")
	if err := found.keep("b", 9, []part{named(2)}, func() error { return gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
	compare(t, found, map[string][]part{"a": kept})
}

// Two processes never write one index, and one of another format is left alone.
func TestAnIndexThatCannotBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	found := opened(t, path, roomy)
	if _, err := openIndex(path, roomy); err == nil {
		t.Error("it is open twice")
	}
	err := found.store.Update(func(change *bbolt.Tx) error { return change.Bucket(sumsBucket).Put(formatKey, []byte{9}) })
	if err != nil || found.close() != nil {
		t.Fatal(err)
	}
	if _, err := openIndex(path, roomy); err == nil {
		t.Error("it knows a format of later")
	}
}

// A token leads on in its own listing alone.
func TestPageTokens(t *testing.T) {
	token := tokenOf(1000, "a")
	if place, err := placeIn(token, "a"); err != nil || place != 1000 {
		t.Error(place, err)
	}
	for _, wrong := range []string{tokenOf(1000, "b"), "x", token + "A", token[:4]} {
		if _, err := placeIn(wrong, "a"); err == nil {
			t.Error(wrong)
		}
	}
}
