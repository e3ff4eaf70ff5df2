// Does nothing but stay: as the first process of a process namespace it keeps that alive and collects the dead.
// Two uses: the sandbox container of every pod, and the first process of the machine that the test cluster runs in.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		collectTheDead()
	}
}

// Several deaths may come as one signal, so it goes on until nobody is left to collect.
func collectTheDead() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}
