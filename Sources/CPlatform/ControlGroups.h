#pragma once

/* Calls `visit` with the folder of every control group that this process is in and that limits `controller` ("cpu",
   "memory"), of version 1 or 2 of the interface: its own and those above it. Nothing where /proc does not say. */
typedef void (*group_visitor)(const char *folder, int version, void *context);
void each_group(const char *controller, group_visitor visit, void *context);
