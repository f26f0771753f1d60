if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi
# rpm does not know that the directories are ours.
if [ "$1" -eq 0 ]; then
	rmdir /usr/share/linux-patch/schema /usr/share/linux-patch /usr/share/doc/linux-patch/* /usr/share/doc/linux-patch \
		/usr/share/licenses/linux-patch /usr/lib/systemd/system/linux-patch-refresh.service.d 2>/dev/null || :
fi
