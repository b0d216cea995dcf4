// Package cmdline is what a command needs to talk to people, whatever it does: flags that are checked and explained,
// help, progress bars, tables, files that flags name, and YAML that says where it is wrong. It knows no models. Each
// function stands alone; FlagsFirst, OnUsageError and PrintHelp are given to the library of the flags.
package cmdline
