//go:build page

package web

import "embed"

//go:embed site
var embedded embed.FS

func init() { built = &embedded }
