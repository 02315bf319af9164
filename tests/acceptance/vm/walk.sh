#!/bin/bash
# What the virtual machine of test_power_cut.py runs once it is up: on a disk on which nothing lasts that
# was not synced on purpose, the world in world.py.
set -eu
mount -o remount,commit=300,noauto_da_alloc /
echo 0 > /proc/sys/vm/dirty_writeback_centisecs
echo 360000 > /proc/sys/vm/dirty_expire_centisecs
cd /
PYTHONPATH=/opt/poller exec python3 /world.py
