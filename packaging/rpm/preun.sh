# Never the apply itself: it may be what removes this, and would wait for itself.
if [ "$1" -eq 0 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload disable linux-patch-refresh.timer linux-patch-apply.timer >/dev/null 2>&1 || :
	if [ -d /run/systemd/system ]; then
		systemctl stop linux-patch-refresh.timer linux-patch-apply.timer linux-patch-refresh.service || :
	fi
fi
