// Package filedigest digests files as they stream by, and knows which parts of them it has seen
// before. Contract: tandem.polyglot.v1.FileDigestService.
package filedigest

import (
	"path/filepath"

	"tandem/polyglot/kit/hosting"
	config "tandem/polyglot/stubs/tandem/polyglot/config/v1"
	rpc "tandem/polyglot/stubs/tandem/polyglot/v1"
)

const (
	fileBytesMax = 1 << 30
	partsMax     = 1_000_000
	filesMax     = 100_000
)

// Agent is the declaration that the program is made of.
var Agent = hosting.Declare(&rpc.FileDigestService_ServiceDesc, build)

func build(scope *hosting.Scope, settings *config.FileDigestSettings) (hosting.Built, error) {
	limits := limitsOf(settings)
	found, err := openIndex(filepath.Join(scope.Folder, "index.db"), limits)
	if err != nil {
		return hosting.Built{}, err
	}
	return hosting.Built{Servicer: &servicer{index: found, limits: limits}, Close: found.close}, nil
}

// limits of one instance, none of them 0.
type limits struct{ fileBytesMax, partsMax, filesMax int64 }

func limitsOf(settings *config.FileDigestSettings) limits {
	return limits{
		orDefault(settings.GetFileBytesMax(), fileBytesMax),
		orDefault(settings.GetPartsMax(), partsMax),
		orDefault(settings.GetFilesMax(), filesMax),
	}
}

func orDefault(said, fallback int64) int64 {
	if said == 0 {
		return fallback
	}
	return said
}
