# Never the apply itself: it may be what removes this, and would wait for itself.
if [ "$1" -eq 0 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload disable linux-patch-refresh.timer linux-patch-apply.timer >/dev/null 2>&1 || :
	if [ -d /run/systemd/system ]; then
		systemctl stop linux-patch-refresh.timer linux-patch-apply.timer linux-patch-refresh.service || :
	fi
fi

# What nobody writes any more would say "fresh" for ever.
for file in /etc/systemd/system/linux-patch-refresh.service.d/metrics.conf \
	/etc/systemd/system/linux-patch-apply.service.d/metrics.conf /etc/cron.d/linux-patch-metrics; do
	if [ "$1" -eq 0 ] && [ -f "$file" ]; then
		sed -n 's/^[^#].*linux-patch status.* --output \([^ ]*\).*/\1/p' "$file" | while read -r page; do rm -f "$page"; done
		rm -f "$file"
	fi
done
[ "$1" -gt 0 ] || rmdir /etc/systemd/system/linux-patch-*.service.d 2>/dev/null || :
