// Package jobs lets River work the tasks of package gateway: one file per kind of task, the rules
// that all of them share in worker.go, and the schedule. What a task does stands in the services;
// here stands how often it is tried, how long it may take and what becomes of its errors.
package jobs
