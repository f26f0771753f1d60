mkdir -p -m 755 /var/lib/linux-patch /var/log/linux-patch
if command -v systemctl >/dev/null; then
	# The file in system-preset says: the refresh, not the apply.
	[ "$1" -gt 1 ] || systemctl --no-reload preset linux-patch-refresh.timer linux-patch-apply.timer >/dev/null 2>&1 || :
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload || :
		# The timers only: an apply that runs, perhaps the one that installs this, goes on.
		if [ "$1" -gt 1 ]; then
			systemctl try-restart linux-patch-refresh.timer linux-patch-apply.timer || :
		elif systemctl --quiet is-enabled linux-patch-refresh.timer; then
			systemctl start linux-patch-refresh.timer || :
		fi
	fi
fi
