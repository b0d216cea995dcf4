// Package cmdline is what a command needs to talk to people, whatever it does: flags that are checked and explained,
// help, progress bars, tables, files that flags name, and YAML that says where it is wrong. It knows no models. Its functions do
// not depend on each other; FlagsFirst, OnUsageError and PrintHelp plug into urfave/cli.
package cmdline
