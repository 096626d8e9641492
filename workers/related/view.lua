-- view.lua: ARGV 2... ids. Replies '' and their views as they are now; an unknown one has none.

local reply = {''}
for i = 2, #ARGV do reply[i] = view(ARGV[i]) end
return reply
